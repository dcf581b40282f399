import { Alert, Button, Card, Form, Input, Modal, Space, Tag, Typography } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { body } from '../../api/client';
import { deleteMeTotp, postMeTotp, postMeTotpConfirm, type OwnUserShown, type TotpBegun } from '../../api/gen';
import { problemOf } from '../../api/problem';
import { MONO } from '../../app/theme';
import { CopyButton } from '../../components/basics';
import { FormModal, FormProblem, ShownOnce, useChange } from './parts';
import { Qr } from './Qr';

/** A wrong password or code, said in the reader's language. */
function useSaidOfProof() {
  const { t } = useTranslation('settings');
  return (error: unknown) => {
    const { code } = problemOf(error);
    return code === 'wrong_credentials' ? t('profile.wrongPassword') : code === 'wrong_totp' ? t('totp.wrongCode') : undefined;
  };
}

/** Shows the secret as a picture and takes the first code. */
function Confirm({ begun, onDone, onClose }: { begun: TotpBegun; onDone: (codes: string[]) => void; onClose: () => void }) {
  const { t } = useTranslation('settings');
  const { t: words } = useTranslation();
  const [form] = Form.useForm<{ code: string }>();
  const said = useSaidOfProof();
  const confirm = useChange(({ code }: { code: string }) => body(postMeTotpConfirm({ body: { ticket: begun.ticket, code }, throwOnError: true })), { onDone: ({ recovery_codes }) => onDone(recovery_codes), isQuiet: true });
  const problem = confirm.error ? said(confirm.error) : undefined;
  return (
    <Modal open title={t('totp.scan')} okText={t('totp.confirm')} cancelText={words('action.cancel')} confirmLoading={confirm.isPending} onOk={form.submit} onCancel={onClose} mask={{ closable: false }}>
      {problem ? <Alert role="alert" type="error" showIcon style={{ marginBottom: 12 }} title={problem} /> : <FormProblem error={confirm.error} />}
      <Typography.Paragraph>{t('totp.scanHint')}</Typography.Paragraph>
      <div style={{ textAlign: 'center' }}><Qr text={begun.uri} label={t('totp.picture')} /></div>
      <Typography.Paragraph type="secondary" style={{ margin: '8px 0' }}>
        {t('totp.byHand')} <span style={{ fontFamily: MONO, overflowWrap: 'anywhere' }}>{begun.secret}</span> <CopyButton text={begun.secret} label={t('totp.copySecret')} />
      </Typography.Paragraph>
      <Form form={form} layout="vertical" requiredMark={false} onFinish={(fields: { code: string }) => confirm.mutate(fields)}>
        <Form.Item name="code" label={t('totp.code')} normalize={(value: string) => value.replaceAll(/\s/g, '')} rules={[{ required: true, message: t('required') }, { pattern: /^\d{6}$/, message: t('totp.sixDigits') }]}>
          <Input autoFocus inputMode="numeric" autoComplete="one-time-code" maxLength={7} style={{ width: 160, fontFamily: MONO }} />
        </Form.Item>
      </Form>
    </Modal>
  );
}

export function SecondFactor({ user }: { user: OwnUserShown }) {
  const { t } = useTranslation('settings');
  const [open, setOpen] = useState<'begin' | 'remove' | null>(null);
  const [begun, setBegun] = useState<TotpBegun>();
  const [codes, setCodes] = useState<string[]>();
  const begin = async ({ password }: { password: string }) => setBegun(await body(postMeTotp({ body: { password }, throwOnError: true })));
  const remove = async ({ password }: { password: string }) => void (await deleteMeTotp({ body: { password }, throwOnError: true }));
  return (
    <Card size="small" title={t('totp.title')} extra={<Tag color={user.has_totp ? 'success' : 'default'} style={{ marginInlineEnd: 0 }}>{t(user.has_totp ? 'totp.on' : 'totp.off')}</Tag>}>
      <Typography.Paragraph type="secondary">{t('totp.hint')}</Typography.Paragraph>
      <Space wrap>
        {user.has_totp
          ? <Button danger onClick={() => setOpen('remove')}>{t('totp.remove')}</Button>
          : <Button onClick={() => setOpen('begin')}>{t('totp.begin')}</Button>}
        {user.has_totp && <Typography.Text type={user.recovery_codes_left < 3 ? 'warning' : 'secondary'}>{t('totp.left', { count: user.recovery_codes_left })}</Typography.Text>}
      </Space>
      {open && (
        <FormModal<{ password: string }>
          title={t(open === 'begin' ? 'totp.begin' : 'totp.remove')}
          okText={t(open === 'begin' ? 'totp.next' : 'totp.remove')}
          isDanger={open === 'remove'}
          names={['password']}
          width={420}
          onSend={open === 'begin' ? begin : remove}
          onClose={() => setOpen(null)}
        >
          <Typography.Paragraph>{t(open === 'begin' ? 'totp.proof' : 'totp.proofRemove')}</Typography.Paragraph>
          <Form.Item name="password" label={t('profile.currentPassword')} rules={[{ required: true, message: t('required') }]}><Input.Password autoFocus autoComplete="current-password" /></Form.Item>
        </FormModal>
      )}
      {begun && !codes && <Confirm begun={begun} onDone={setCodes} onClose={() => setBegun(undefined)} />}
      {codes && (
        <ShownOnce
          title={t('totp.codes')}
          label={t('totp.codes')}
          text={codes.join('\n')}
          warning={t('totp.codesHint')}
          fileName={`llm-scheduler-recovery-${user.username}.txt`}
          onClose={() => {
            setCodes(undefined);
            setBegun(undefined);
          }}
        />
      )}
    </Card>
  );
}
